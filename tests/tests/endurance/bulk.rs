//! Bodies of 100 MB, both ways, by every framing: they arrive as they were sent, and the gate holds none.

use anyhow::{Result, ensure};
use sidegate_bundle::ApiKey;
use sidegate_tests::endurance::{Framing, download, upload};
use sidegate_tests::http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http2;
use crate::scene::{Scene, say, with_key};

const SIZE: u64 = 100_000_000;
/// In MiB, above what the process has idle.
const MOST: u64 = 16;

#[derive(Clone, Copy, Debug)]
enum Way {
    Up(Framing),
    Down(Framing),
    UpByHttp2,
    DownByHttp2,
}

const WAYS: [Way; 6] = [
    Way::Up(Framing::Length),
    Way::Down(Framing::Length),
    Way::Up(Framing::Chunks),
    Way::Down(Framing::Chunks),
    Way::UpByHttp2,
    Way::DownByHttp2,
];

// === impl Way ===

impl Way {
    /// A body goes this way, and arrives.
    async fn go(self, address: &str, key: &ApiKey) -> Result<()> {
        let arrived = match self {
            Self::Up(framing) => {
                let request = with_key(key, Request::new("POST", "/up"));
                upload(TcpStream::connect(address).await?, request, framing, SIZE).await?
            }
            Self::Down(framing) => {
                let folder = if framing == Framing::Length { "down" } else { "chunks" };
                let request = with_key(key, Request::new("GET", &format!("/{folder}/{SIZE}")));
                format!("{} bytes", download(TcpStream::connect(address).await?, request).await?)
            }
            Self::UpByHttp2 => http2::upload(address, key, "/up", SIZE).await?,
            Self::DownByHttp2 => {
                format!("{} bytes", http2::download(address, key, &format!("/down/{SIZE}")).await?)
            }
        };
        ensure!(arrived == format!("{SIZE} bytes"), "{self:?}: {arrived}");
        Ok(())
    }
}

#[tokio::test]
async fn a_body_of_100_mb_arrives_whole_and_is_never_held() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    for way in WAYS {
        let begun = std::time::Instant::now();
        way.go(&scene.gate.address, &scene.key).await?;
        say(&format!("{way:?}: {:?}, {} KiB", begun.elapsed(), scene.memory.peak_growth()? >> 10));
    }
    scene.never_grew_by(MOST)
}

#[tokio::test]
async fn eight_at_once_are_held_no_more_than_one() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let mut going = JoinSet::new();
    for way in WAYS.into_iter().chain([Way::Up(Framing::Length), Way::Down(Framing::Length)]) {
        let (address, key) = (scene.gate.address.clone(), scene.key.clone());
        going.spawn(async move { way.go(&address, &key).await });
    }
    going.join_all().await.into_iter().collect::<Result<()>>()?;
    scene.never_grew_by(MOST)
}
