//! `fanfold_hostile`'s `fields`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("fields").expect("it is one of them")(octets));
