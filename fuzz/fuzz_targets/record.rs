//! `fanfold_hostile`'s `record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("record").expect("it is one of them")(octets));
