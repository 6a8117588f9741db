//! A writable layer over a folder, which vanishes with the worker.

use std::fs;

use crate::scene::{Scene, is_owned};

#[test]
fn folder_can_be_changed_at_will_and_stays_as_it_was() {
    let scene = Scene::standard();

    let replies = scene.ask([
        ("read", "/layer/f"),
        ("write", "/layer/f changed"),
        ("read", "/layer/f"),
        ("mkdir", "/layer/sub"),
        ("create", "/layer/sub/new"),
        ("rename", "/layer/f /layer/sub/f"),
        ("list", "/layer"),
        ("list", "/layer/sub"),
        ("unlink", "/layer/sub/f"),
        ("stat", "/layer/sub/new"),
    ]);

    let [before, _, after, ..] = &replies;
    assert_eq!([before.as_str(), after], ["layer", "changed"]);
    let wanted = ["", "", "", "sub", "f new", "", "100600 0:0"];
    assert_eq!(replies[3..], wanted);
    assert_eq!(fs::read(scene.path("layer/f")).unwrap(), b"layer");
    assert_eq!(fs::read_dir(scene.path("layer")).unwrap().count(), 1);
    assert!(is_owned(&scene.path("layer/f")));
    let [again] = scene.ask([("read", "/layer/f")]);
    assert_eq!(again, "layer", "the layer is gone with its worker");
}

#[test]
fn layer_holds_no_more_bytes_and_files_than_granted() {
    let scene = Scene::standard();

    let [bytes] = scene.ask([("fill", "/layer/big")]);
    let [files] = scene.ask([("litter", "/layer")]);

    let (blocks, why) = bytes.split_once(' ').unwrap();
    assert_eq!(why, "ENOSPC");
    let blocks: u32 = blocks.parse().unwrap();
    assert!((12..=16).contains(&blocks), "1 MiB is {blocks} blocks");
    let (count, why) = files.split_once(' ').unwrap();
    assert_eq!(why, "ENOSPC");
    let count: u32 = count.parse().unwrap();
    assert!((12..=16).contains(&count), "{count} of 16 inodes");
}

#[test]
fn temp_holds_no_more_than_granted_and_isnt_there_if_it_isnt() {
    let granted = Scene::new("tmp = \"1MiB\"", "");

    let [bytes, _, files] = granted.ask([
        ("fill", "/tmp/big"),
        ("unlink", "/tmp/big"),
        ("litter", "/tmp"),
    ]);
    let [without] = Scene::new("", "").ask([("create", "/tmp/file")]);

    // What was asked for is the declared tier; a quarter more is the hard one.
    assert_eq!(bytes, "20 ENOSPC");
    assert_eq!(files, "1023 ENOSPC");
    assert!(["EROFS", "EACCES"].contains(&without.as_str()), "{without}");
}
