//! `fanfold_hostile`'s `redaction`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("redaction").expect("it is one of them")(octets));
