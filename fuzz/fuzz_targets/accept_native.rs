//! `fanfold_hostile`'s `accept_native`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("accept_native").expect("it is one of them")(octets));
