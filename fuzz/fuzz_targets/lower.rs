//! `fanfold_hostile`'s `lower`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("lower").expect("it is one of them")(octets));
