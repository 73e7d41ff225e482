//! `fanfold_hostile`'s `configuration`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("configuration").expect("it is one of them")(octets));
