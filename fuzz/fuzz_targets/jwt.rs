//! `fanfold_hostile`'s `jwt`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("jwt").expect("it is one of them")(octets));
