//! `fanfold_hostile`'s `query`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("query").expect("it is one of them")(octets));
