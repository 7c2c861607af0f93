// Integer division by way of floating point: software adapters divide integers lane by lane.

// a / b, rounded down, for a and b from 1 (b) and 0 (a) to 2^31 - 1.
//
// f32(a) / f32(b) is off by a few units in the last place, so the first quotient misses by at most
// 2^-22 of itself plus one. Its remainder is then below 2^10 * b, whose quotient is right to one.
fn divide(a: u32, b: u32) -> u32 {
    let inverse = 1.0 / f32(b);
    var quotient = i32(f32(a) * inverse);
    var rest = i32(a) - quotient * i32(b);
    let correction = i32(floor(f32(rest) * inverse));
    quotient += correction;
    rest -= correction * i32(b);
    quotient -= select(0, 1, rest < 0);
    quotient += select(0, 1, rest >= i32(b));
    return u32(quotient);
}
