//! `fanfold_hostile`'s `key_set`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("key_set").expect("it is one of them")(octets));
