//! A pipeline of processes: counts the words of its standard input, as `tr | sort | uniq -c` does in a shell.
//!
//! Run it with `echo b a b | cargo run --example pipeline`; it prints how often each word came. This program feeds the first
//! process and hands on what the last one writes; between the processes the bytes do not pass through it.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use camshaft::io;
use camshaft::process::{Child, Command};

#[camshaft::main]
async fn main() -> Result<()> {
    let mut words = start(
        Command::new("tr").args(["-cs", "[:alnum:]", "\\n"]),
        Stdio::piped(),
    )?;
    let mut sorted = start(&mut Command::new("sort"), output_of(&mut words)?)?;
    let mut counted = start(Command::new("uniq").arg("-c"), output_of(&mut sorted)?)?;

    // In a task of its own: the first process may have to wait until the last has been read.
    let input = words.stdin.take().context("it was piped")?;
    let feeding = camshaft::spawn(async move {
        let copied = io::copy(&mut io::stdin(), &mut &input).await;
        drop(input); // the end of the first process's input
        copied
    });
    let output = counted.stdout.take().context("it was piped")?;
    let printed = io::copy(&mut &output, &mut io::stdout()).await?;

    let fed = feeding.await.context("the task that feeds")??;
    for mut child in [words, sorted, counted] {
        let status = child.wait().await?;
        ensure!(
            status.success(),
            "a process of the pipeline ended with {status}"
        );
    }
    eprintln!("{fed} bytes in, {printed} bytes out");
    Ok(())
}

fn start(command: &mut Command, input: Stdio) -> Result<Child> {
    let name = command.as_std().get_program().to_owned();
    command
        .stdin(input)
        .stdout(Stdio::piped())
        // If something fails here, nobody is left behind.
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {name:?}"))
}

/// What a process writes, for the next one to read.
fn output_of(child: &mut Child) -> Result<Stdio> {
    let output = child.stdout.take().context("it was piped")?;
    Ok(output.try_into()?)
}
