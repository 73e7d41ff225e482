//! `fanfold_hostile`'s `accept_msf`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fanfold_hostile::target("accept_msf").expect("it is one of them")(octets));
