//! The README's first command, and the very lines that it prints, pasted into a shell.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sidegate_tests::process::Program;
use sidegate_tests::{Process, repository};

const SOON: Duration = Duration::from_secs(20);

/// `sidegate up examples/quickstart` in a folder of its own, on free ports.
async fn up(folder: &Path) -> Result<Process> {
    let examples = folder.join("examples/quickstart");
    std::fs::create_dir_all(&examples)?;
    for file in std::fs::read_dir(repository("examples/quickstart"))? {
        let file = file?;
        std::fs::copy(file.path(), examples.join(file.file_name()))?;
    }
    let mut process = Program::of_workspace("sidegate")?
        .args(["up", "examples/quickstart", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .current_dir(folder)
        .start()?;
    process.wait_for_line(SOON, |line| line.starts_with("Save a change")).await?;
    Ok(process)
}

/// The lines that a reader is told to paste: assignments, then commands with what to expect behind a `#`.
fn pasted(process: &Process) -> Vec<String> {
    let lines = process.lines().into_iter().map(|line| line.text);
    lines
        .skip_while(|line| !line.starts_with("In another terminal"))
        .skip(1)
        .take_while(|line| !line.starts_with("Save a change"))
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

async fn bash(folder: &Path, script: &str) -> Result<String> {
    let output =
        tokio::process::Command::new("bash").args(["-c", script]).current_dir(folder).output().await?;
    ensure!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn the_printed_lines_give_what_they_say() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut process = up(folder.path()).await?;
    let lines = pasted(&process);
    let (commands, assignments): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.starts_with("curl "));
    let key = std::fs::read_to_string(folder.path().join(".sidegate/secrets/team-a/ci-key-api-key/api-key"))?;

    let mut statuses = Vec::new();
    for command in commands {
        let (_, expected) = command.rsplit_once('#').context("a line does not say what to expect")?;
        let expected =
            expected.split_whitespace().next().context("nothing is expected")?.trim_end_matches(',');
        let script = format!(
            "{}\n{command}",
            assignments.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
        );
        let answer = bash(folder.path(), &script).await?;
        ensure!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{command}\n{answer}");
        ensure!(!answer.contains(key.trim()), "the app or the caller was sent the key:\n{answer}");
        let lower = answer.to_lowercase();
        match expected {
            "200" => {
                ensure!(
                    lower.contains("x-sidegate-subject") && answer.contains("key:team-a.ci-key"),
                    "{answer}"
                );
                ensure!(lower.contains("x-sidegate-scopes") && answer.contains("apps:read"), "{answer}");
            }
            _ => ensure!(lower.contains("content-type: application/problem+json"), "{answer}"),
        }
        statuses.push(expected.to_owned());
    }
    assert_eq!(statuses, ["401", "200", "403", "403"]);

    assert_eq!(process.terminate(SOON).await?.code(), Some(0));
    ensure!(!process.output().contains(key.trim()), "the key was printed");
    Ok(())
}

#[tokio::test]
async fn a_saved_change_is_in_force_and_said() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut process = up(folder.path()).await?;
    let lines = pasted(&process);
    let assignments =
        lines.iter().filter(|line| !line.starts_with("curl ")).cloned().collect::<Vec<_>>().join("\n");
    let post = lines.iter().find(|line| line.contains("-X POST")).context("no line with POST")?;
    let script = format!("{assignments}\n{post}");
    ensure!(
        bash(folder.path(), &script).await?.starts_with("HTTP/1.1 403 "),
        "POST was allowed before the change"
    );

    for file in ["2-gate.yaml", "4-credentials.yaml"] {
        let path = folder.path().join("examples/quickstart").join(file);
        let text = std::fs::read_to_string(&path)?;
        let changed = text.replacen("scopes: [apps:read]", "scopes: [apps:read, apps:write]", 1);
        ensure!(changed != text, "{file} asks for no scope");
        std::fs::write(&path, changed)?;
        process.wait_for_line(SOON, |line| line.contains(file) && line.contains("in force after")).await?;
    }
    let answer = bash(folder.path(), &script).await?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Ok(())
}
