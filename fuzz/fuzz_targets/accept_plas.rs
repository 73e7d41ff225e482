//! `fanfold_hostile`'s `accept_plas`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("accept_plas").expect("it is one of them")(octets));
