//! Writes the files of this folder.
fn main() -> std::io::Result<()> {
    for (name, text) in sidegate_crds::files() {
        std::fs::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name), text)?;
    }
    Ok(())
}
