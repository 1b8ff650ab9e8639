//! Seeded random operations on two directories, ours on one and those of std on the other: same results, same trees.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use camshaft::fs::{self, File};
use common::{Random, alone, runtime};
use scratch::Scratch;

const NAMES: [&str; 8] = ["a", "b", "c", "a/a", "a/b", "b/a", "b/b", "a/a/a"];

/// What an operation returned, as far as both can say.
type Outcome = Result<Vec<u8>, io::ErrorKind>;

fn seen<T>(result: io::Result<T>, value: impl FnOnce(T) -> Vec<u8>) -> Outcome {
    result.map(value).map_err(|error| error.kind())
}

fn nothing<T>(result: io::Result<T>) -> Outcome {
    seen(result, |_| Vec::new())
}

#[derive(Clone, Debug)]
enum Step {
    Write(&'static str, Vec<u8>),
    Read(&'static str),
    Copy(&'static str, &'static str),
    Rename(&'static str, &'static str),
    HardLink(&'static str, &'static str),
    Symlink(&'static str, &'static str),
    ReadLink(&'static str),
    RemoveFile(&'static str),
    RemoveDir(&'static str),
    RemoveDirAll(&'static str),
    CreateDir(&'static str),
    CreateDirAll(&'static str),
    Exists(&'static str),
    Length(&'static str),
    List(&'static str),
    Mode(&'static str, u32),
}

fn step(random: &mut Random) -> Step {
    let mut name = || NAMES[random.below(NAMES.len())];
    let (one, two) = (name(), name());
    match random.below(20) {
        0..4 => {
            let len = random.below(5000);
            let byte = u8::try_from(random.below(256)).expect("below 256");
            Step::Write(one, vec![byte; len])
        }
        4 | 5 => Step::Read(one),
        6 => Step::Copy(one, two),
        7 => Step::Rename(one, two),
        8 => Step::HardLink(one, two),
        9 => Step::Symlink(one, two),
        10 => Step::ReadLink(one),
        11 => Step::RemoveFile(one),
        12 => Step::RemoveDir(one),
        13 => Step::RemoveDirAll(one),
        14 => Step::CreateDir(one),
        15 => Step::CreateDirAll(one),
        16 => Step::Exists(one),
        17 => Step::Length(one),
        18 => Step::List(one),
        _ => Step::Mode(
            one,
            0o700 | u32::try_from(random.below(64)).expect("below 64"),
        ),
    }
}

/// A copy of a file to itself cuts it, or not, as the system likes.
fn is_same(root: &Path, one: &str, two: &str) -> bool {
    let real = |name| root.join(name).canonicalize().ok();
    one == two || real(one).is_some_and(|one| Some(one) == real(two))
}

fn number(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

async fn ours(root: &Path, step: Step) -> Outcome {
    let at = |name: &str| root.join(name);
    match step {
        Step::Write(path, bytes) => nothing(fs::write(at(path), bytes).await),
        Step::Read(path) => seen(fs::read(at(path)).await, |bytes| bytes),
        Step::Copy(one, two) => seen(fs::copy(at(one), at(two)).await, number),
        Step::Rename(one, two) => nothing(fs::rename(at(one), at(two)).await),
        Step::HardLink(one, two) => nothing(fs::hard_link(at(one), at(two)).await),
        Step::Symlink(one, two) => nothing(fs::symlink(one, at(two)).await),
        Step::ReadLink(path) => seen(fs::read_link(at(path)).await, of_path),
        Step::RemoveFile(path) => nothing(fs::remove_file(at(path)).await),
        Step::RemoveDir(path) => nothing(fs::remove_dir(at(path)).await),
        Step::RemoveDirAll(path) => nothing(fs::remove_dir_all(at(path)).await),
        Step::CreateDir(path) => nothing(fs::create_dir(at(path)).await),
        Step::CreateDirAll(path) => nothing(fs::create_dir_all(at(path)).await),
        Step::Exists(path) => seen(fs::try_exists(at(path)).await, |is| vec![is.into()]),
        Step::Length(path) => seen(fs::symlink_metadata(at(path)).await, |m| {
            if m.is_dir() {
                Vec::new()
            } else {
                number(m.len())
            }
        }),
        Step::List(path) => {
            let mut names = Vec::new();
            match fs::read_dir(at(path)).await {
                Err(error) => return Err(error.kind()),
                Ok(mut entries) => {
                    while let Some(entry) = entries.next_entry().await.map_err(|e| e.kind())? {
                        names.push(entry.file_name());
                    }
                }
            }
            names.sort();
            Ok(names
                .iter()
                .flat_map(|name| name.as_encoded_bytes().to_vec())
                .collect())
        }
        Step::Mode(path, mode) => {
            let permissions = fs::Permissions::from_mode(mode);
            nothing(fs::set_permissions(at(path), permissions).await)
        }
    }
}

fn of_std(root: &Path, step: Step) -> Outcome {
    let at = |name: &str| root.join(name);
    match step {
        Step::Write(path, bytes) => nothing(std::fs::write(at(path), bytes)),
        Step::Read(path) => seen(std::fs::read(at(path)), |bytes| bytes),
        Step::Copy(one, two) => seen(std::fs::copy(at(one), at(two)), number),
        Step::Rename(one, two) => nothing(std::fs::rename(at(one), at(two))),
        Step::HardLink(one, two) => nothing(std::fs::hard_link(at(one), at(two))),
        Step::Symlink(one, two) => nothing(symlink(one, at(two))),
        Step::ReadLink(path) => seen(std::fs::read_link(at(path)), of_path),
        Step::RemoveFile(path) => nothing(std::fs::remove_file(at(path))),
        Step::RemoveDir(path) => nothing(std::fs::remove_dir(at(path))),
        Step::RemoveDirAll(path) => nothing(std::fs::remove_dir_all(at(path))),
        Step::CreateDir(path) => nothing(std::fs::create_dir(at(path))),
        Step::CreateDirAll(path) => nothing(std::fs::create_dir_all(at(path))),
        Step::Exists(path) => seen(at(path).try_exists(), |is| vec![is.into()]),
        Step::Length(path) => seen(at(path).symlink_metadata(), |m| {
            if m.is_dir() {
                Vec::new()
            } else {
                number(m.len())
            }
        }),
        Step::List(path) => seen(std::fs::read_dir(at(path)), |entries| {
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
                .iter()
                .flat_map(|name| name.as_encoded_bytes().to_vec())
                .collect()
        }),
        Step::Mode(path, mode) => {
            let permissions = fs::Permissions::from_mode(mode);
            nothing(std::fs::set_permissions(at(path), permissions))
        }
    }
}

fn of_path(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_encoded_bytes()
}

/// Everything in a directory: paths, with the mode and the bytes, or where a link leads.
fn tree(root: &Path, path: &Path, found: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        let contents = if metadata.is_symlink() {
            of_path(std::fs::read_link(&path).unwrap())
        } else if metadata.is_dir() {
            tree(root, &path, found);
            Vec::new()
        } else {
            std::fs::read(&path).unwrap()
        };
        let mode = metadata.permissions().mode();
        found.insert(
            path.strip_prefix(root).unwrap().to_owned(),
            (mode, contents),
        );
    }
}

#[test]
fn random_changes_of_a_tree() {
    let _alone = alone();
    let runtime = runtime();
    for seed in 0..12 {
        let (left, right) = (Scratch::new(), Scratch::new());
        let mut random = Random::new(seed);
        runtime.block_on(async {
            for n in 0..250 {
                let step = step(&mut random);
                if let Step::Copy(one, two) = step
                    && is_same(left.path(), one, two)
                {
                    continue;
                }
                let got = ours(left.path(), step.clone()).await;
                let expected = of_std(right.path(), step.clone());
                assert_eq!(got, expected, "seed {seed}, step {n}: {step:?}");
            }
        });
        let (mut found, mut expected) = (BTreeMap::new(), BTreeMap::new());
        tree(left.path(), left.path(), &mut found);
        tree(right.path(), right.path(), &mut expected);
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// One step on an open file, done by both.
async fn one_step(ours: &File, std: &mut std::fs::File, random: &mut Random, appends: bool) {
    let offset = random.below(30_000);
    let len = random.below(9000);
    let byte = u8::try_from(random.below(256)).expect("below 256");
    match random.below(9) {
        0 => {
            let (result, buf) = ours.read(vec![0; len].into_boxed_slice()).await;
            let mut expected = vec![0; len];
            let read = std.read(&mut expected).unwrap();
            // Ours does not read into nothing.
            assert_eq!(result.unwrap_or(0), read);
            assert!(*buf == *expected);
        }
        1 => {
            let (result, buf) = ours.read_at(Vec::with_capacity(len), offset as u64).await;
            let mut expected = vec![0; buf.capacity()];
            let read = std.read_at(&mut expected, offset as u64).unwrap();
            assert_eq!(result.unwrap_or(0), read);
            assert!(buf == expected[..read]);
        }
        2 | 3 => {
            let (result, _) = ours.write(vec![byte; len]).await;
            assert_eq!(result.unwrap(), std.write(&vec![byte; len]).unwrap());
        }
        4 | 5 => {
            let (result, _) = ours.write_at(vec![byte; len], offset as u64).await;
            assert_eq!(
                result.unwrap(),
                std.write_at(&vec![byte; len], offset as u64).unwrap()
            );
        }
        6 => {
            ours.set_len(offset as u64).await.unwrap();
            std.set_len(offset as u64).unwrap();
        }
        7 => {
            let by = i64::try_from(len).expect("small") - 4500;
            let to = match random.below(3) {
                0 => SeekFrom::Start(offset as u64),
                1 => SeekFrom::Current(by),
                _ => SeekFrom::End(by),
            };
            assert_eq!(ours.seek(to).await.ok(), std.seek(to).ok(), "{to:?}");
        }
        _ => {
            let length = ours.metadata().await.unwrap().len();
            assert_eq!(length, std.metadata().unwrap().len());
        }
    }
    let position = std.stream_position().unwrap();
    assert_eq!(
        ours.stream_position().await.unwrap(),
        position,
        "appends: {appends}"
    );
}

#[test]
fn random_transfers_of_a_file() {
    let _alone = alone();
    let runtime = runtime();
    for seed in 0..16 {
        let (appends, disk) = (seed % 2 == 1, seed % 8 < 2);
        let scratch = Scratch::new();
        let flags = if disk { libc::O_DSYNC } else { 0 };
        let mut random = Random::new(seed + 100);
        runtime.block_on(async {
            let mut options = fs::OpenOptions::new();
            options
                .read(true)
                .write(true)
                .append(appends)
                .create(true)
                .custom_flags(flags);
            let ours = options.open(scratch.at("ours")).await.unwrap();
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).append(appends).create(true);
            let mut std = options.open(scratch.at("std")).unwrap();
            for _ in 0..if disk { 40 } else { 400 } {
                one_step(&ours, &mut std, &mut random, appends).await;
            }
        });
        let (ours, std) = (scratch.at("ours"), scratch.at("std"));
        assert!(
            std::fs::read(ours).unwrap() == std::fs::read(std).unwrap(),
            "seed {seed}"
        );
    }
}
