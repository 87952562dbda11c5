//! Reading images, judged by qemu-img.

use std::process::Command;

use super::*;

fn qemu_img(args: &[&str]) {
    let out = Command::new("qemu-img")
        .args(args)
        .output()
        .expect("install qemu-utils");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// 3 MiB and a half: data, a hole, a written block of zeroes, data that ends off any block.
fn raw(dir: &Path) -> (PathBuf, Vec<u8>) {
    let path = dir.join("a.raw");
    let file = File::create(&path).unwrap();
    let mut want = vec![0u8; 3 * 1024 * 1024 + 512 * 1024 + 512];
    for (at, len) in [(4096, 200_000), (3 << 20, 300_000), (want.len() - 100, 100)] {
        for (n, byte) in want[at..at + len].iter_mut().enumerate() {
            *byte = (n % 251) as u8 | 1;
        }
        file.write_all_at(&want[at..at + len], at as u64).unwrap();
    }
    file.write_all_at(&vec![0; 1 << 17], 1 << 20).unwrap();
    file.set_len(want.len() as u64).unwrap();
    (path, want)
}

fn check(path: &Path, format: ImageFormat, want: &[u8]) {
    let reader = open(path, format).unwrap();
    assert_eq!(reader.size(), want.len() as u64);
    let start = 1000u64;
    let mut at = start;
    let mut zeroes = 0;
    for piece in reader.pieces(start, reader.size()) {
        match piece.unwrap() {
            Piece::Data { offset, bytes } => {
                assert_eq!(offset, at);
                assert!(bytes.len() as u64 <= PIECE_BYTES);
                assert_eq!(bytes, want[at as usize..at as usize + bytes.len()]);
                at += bytes.len() as u64;
            }
            Piece::Zero { offset, len } => {
                assert_eq!(offset, at);
                assert!(is_zero(&want[at as usize..(at + len) as usize]));
                at += len;
                zeroes += len;
            }
        }
    }
    assert_eq!(at, want.len() as u64);
    assert!(zeroes > 2 << 20, "{zeroes}");
}

#[test]
fn raw_and_qcow2_give_the_same_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (path, want) = raw(dir.path());
    check(&path, ImageFormat::Raw, &want);
    let from = path.to_str().unwrap();
    for (name, options) in [
        ("a.qcow2", vec!["convert", "-O", "qcow2"]),
        ("b.qcow2", vec!["convert", "-c", "-O", "qcow2"]),
        (
            "c.qcow2",
            vec!["convert", "-O", "qcow2", "-o", "compat=0.10"],
        ),
    ] {
        let to = dir.path().join(name);
        qemu_img(&[&options[..], &[from, to.to_str().unwrap()]].concat());
        check(&to, ImageFormat::Qcow2, &want);
        let (size, head) = qcow2_head(&to, 8192).unwrap();
        assert_eq!((size, &head[..]), (want.len() as u64, &want[..8192]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_can_be_read_on_a_thread_of_a_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.qcow2");
    qemu_img(&["create", "-q", "-f", "qcow2", path.to_str().unwrap(), "1M"]);
    assert_eq!(qcow2_head(&path, 16).unwrap(), (1 << 20, vec![0; 16]));
}

#[test]
fn an_image_that_names_another_file_is_refused_row_g3() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let data_file = format!("data_file={}", at("d.raw"));
    qemu_img(&[
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        "/etc/passwd",
        "-F",
        "raw",
        &at("b.qcow2"),
    ]);
    qemu_img(&[
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        &data_file,
        &at("d.qcow2"),
        "1M",
    ]);
    for (name, what) in [
        ("b.qcow2", "backing file"),
        ("d.qcow2", "external data file"),
    ] {
        let Err(error) = open(Path::new(&at(name)), ImageFormat::Qcow2) else {
            panic!("{name} was opened");
        };
        assert!(error.message.contains(what), "{error}");
    }
}
