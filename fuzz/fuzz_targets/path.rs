//! `fanfold_hostile`'s `path`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("path").expect("it is one of them")(octets));
