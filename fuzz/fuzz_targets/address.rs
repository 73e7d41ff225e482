//! `fanfold_hostile`'s `address`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("address").expect("it is one of them")(octets));
