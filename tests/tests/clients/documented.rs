//! The programs in `docs/callers.md`, run as they stand there.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use sidegate_tests::repository;
use tokio::process::Command;

use crate::scene::{Scene, installed};

/// Each language's block, and the file that it is put into.
const LANGUAGES: [(&str, &str); 4] =
    [("sh", "call.sh"), ("python", "call.py"), ("go", "call.go"), ("js", "call.mjs")];

/// The one block of this language.
fn block(page: &str, language: &str) -> Result<String> {
    let fence = format!("```{language}\n");
    let mut blocks = page.split(&fence).skip(1);
    let (code, _) = blocks.next().and_then(|rest| rest.split_once("```")).context("no such block")?;
    ensure!(blocks.next().is_none(), "there are two of {language}");
    Ok(code.to_owned())
}

async fn starting(language: &str) -> Result<Command> {
    Ok(match language {
        "sh" => Command::new("sh"),
        "python" => Command::new(installed().await?.python()),
        "js" => Command::new("node"),
        _ => {
            let mut go = Command::new("go");
            go.arg("run");
            go
        }
    })
}

#[tokio::test]
async fn the_documented_programs_get_through_and_say_why_not() -> Result<()> {
    let scene = Scene::start().await?;
    let page = std::fs::read_to_string(repository("docs/callers.md"))?;
    for (language, name) in LANGUAGES {
        let file = scene.folder.path().join(name);
        std::fs::write(&file, block(&page, language)?)?;
        let output = scene.output(starting(language).await?.arg(&file)).await?;
        ensure!(output.contains("key:dify.client"), "{language}: {output}");

        let denied = starting(language)
            .await?
            .arg(&file)
            .env("API_URL", scene.url())
            .env("API_KEY", &scene.wrong_key)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let said = [denied.stdout, denied.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(!denied.status.success(), "{language}: a denial is no success: {said}");
        for part in ["403", "invalid_api_key", "the credential is not valid here"] {
            ensure!(said.contains(part), "{language}: {part} is not in {said}");
        }
    }
    Ok(())
}
