//! `fanfold_hostile`'s `template`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("template").expect("it is one of them")(octets));
