//! A connection through the proxy, with every state it can be put in.

use fanfold_testkit::{PATIENCE, Proxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A client and the server's side of its connection, with a proxy between them.
async fn connected() -> (Proxy, TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let proxy = Proxy::start(listener.local_addr().expect("it is bound")).await;
    let client = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
    let (server, _) = timeout(PATIENCE, listener.accept()).await.expect("it comes in time").expect("it is forwarded");
    (proxy, listener, client, server)
}

async fn passes(from: &mut TcpStream, to: &mut TcpStream, word: &[u8; 4]) {
    from.write_all(word).await.expect("the proxy takes it");
    arrives(to, word).await;
}

async fn arrives(to: &mut TcpStream, word: &[u8; 4]) {
    let mut read = [0; 4];
    timeout(PATIENCE, to.read_exact(&mut read)).await.expect("it comes in time").expect("it is forwarded");
    assert_eq!(&read, word);
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(timeout(PATIENCE, stream.read(&mut [0; 4])).await.expect("it ends in time"), Ok(0) | Err(_))
}

#[tokio::test]
async fn it_forwards_both_ways_and_passes_an_end_on() {
    let (_proxy, _listener, mut client, mut server) = connected().await;
    passes(&mut client, &mut server, b"ping").await;
    passes(&mut server, &mut client, b"pong").await;
    client.shutdown().await.unwrap();
    assert!(is_closed(&mut server).await);
    passes(&mut server, &mut client, b"last").await;
}

#[tokio::test]
async fn nothing_passes_during_a_pause_and_nothing_is_lost_by_it() {
    let (proxy, listener, mut client, mut server) = connected().await;
    proxy.pause();
    client.write_all(b"ping").await.unwrap();
    server.write_all(b"pong").await.unwrap();
    let mut late = TcpStream::connect(proxy.address()).await.unwrap();
    late.write_all(b"late").await.unwrap();
    // Time enough for all tasks of this thread to do what they can.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(client.try_read(&mut [0; 4]).is_err() && server.try_read(&mut [0; 4]).is_err());
    proxy.resume();
    arrives(&mut server, b"ping").await;
    arrives(&mut client, b"pong").await;
    let (mut server, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    arrives(&mut server, b"late").await;
}

#[tokio::test]
async fn a_cut_closes_what_is_open_and_what_comes_until_it_is_resumed() {
    let (proxy, listener, mut client, mut server) = connected().await;
    proxy.cut();
    assert!(is_closed(&mut client).await && is_closed(&mut server).await);
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(is_closed(&mut refused).await);
    proxy.resume();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    passes(&mut client, &mut server, b"ping").await;
}

#[tokio::test]
async fn a_cut_that_is_resumed_at_once_closes_what_was_open_or_paused() {
    let (proxy, _listener, mut client, mut server) = connected().await;
    proxy.pause();
    proxy.cut();
    proxy.resume();
    assert!(is_closed(&mut client).await && is_closed(&mut server).await);
}
