//! The examples run, and say what they should.

#[path = "../examples/one_operation.rs"]
mod one_operation;

#[test]
fn one_operation() {
    one_operation::main().expect("the example runs");
    let [y, dweight] = one_operation::edges().expect("the example runs");
    assert_eq!(y, [3.0; 4]);
    assert_eq!(dweight, [0.0, 2.0, 4.0, 0.0, 2.0, 4.0, 0.0, 2.0, 4.0]);
}
