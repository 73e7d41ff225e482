//! `fanfold_hostile`'s `framing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("framing").expect("it is one of them")(octets));
