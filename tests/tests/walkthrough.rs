//! The kernel that `docs/ADDING_A_KERNEL.md` arrives at agrees with the reference, launched from the page itself. (That the
//! page's commands and its row are right is tested in `crates/xtask/src/walkthrough.rs`.)

use kernels::check::{Data, check};
use kernels::edited;
use parity::gpu;
use std::path::Path;

#[test]
fn the_kernel_of_the_page_agrees() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ADDING_A_KERNEL.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let shader = page.split("\n```wgsl\n").nth(1).and_then(|rest| rest.split("\n```").next()).expect("a shader");
    // It keeps the row of the kernel it was copied from.
    let naive = kernels::ops::all().iter().find(|row| row.id() == "dense.fwd.naive").expect("a row");
    assert!(naive.source().text != shader && shader.starts_with("// dense.fwd."), "{shader}");
    let row = edited(&**naive, &[(naive.source().path, shader.to_owned())]).unwrap_or_else(|error| panic!("{error}"));
    let entry = reference::ops::ALL.iter().find(|entry| entry.name == "dense").expect("an operation");
    for case in (entry.cases)() {
        for data in Data::ALL {
            let agreed = pollster::block_on(check(gpu(), row, &case, data, 1));
            assert!(agreed.unwrap_or_else(|failure| panic!("{failure}")).elements > 0);
        }
    }
}
