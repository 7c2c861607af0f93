// Sine and cosine from additions and multiplications. WGSL asks of its own no more than 2^-11, and
// that between -pi and pi only: what a driver makes of it must not decide how a run goes.

const PI: f32 = 3.14159265;
const HALF_PI: f32 = 1.57079633;

// sin(y) for |y| <= pi/2: y - y^3/3! + y^5/5! - ... + y^13/13!, from the inside out; the next term is
// below 7e-10. 0 gives 0.
fn sine_of_quarter(y: f32) -> f32 {
    let square = y * y;
    var sum = 1.0 - square * (1.0 / 156.0);
    sum = 1.0 - square * (1.0 / 110.0) * sum;
    sum = 1.0 - square * (1.0 / 72.0) * sum;
    sum = 1.0 - square * (1.0 / 42.0) * sum;
    sum = 1.0 - square * (1.0 / 20.0) * sum;
    sum = 1.0 - square * (1.0 / 6.0) * sum;
    return y * sum;
}

// sin(r) for |r| <= pi, or a little more. The half beyond a quarter turn is mirrored into it.
fn sine(r: f32) -> f32 {
    return sine_of_quarter(select(r, sign(r) * PI - r, abs(r) > HALF_PI));
}

// cos(r) for |r| <= pi, or a little more.
fn cosine(r: f32) -> f32 {
    return sine_of_quarter(HALF_PI - abs(r));
}

// x less its whole turns: within pi, or a little more. 2*pi comes in three parts, of which the first
// has 8 bits and the second 11, so that its multiples up to 8192 are exact and so are the differences.
fn within_half_turn(x: f32) -> f32 {
    let turns = round(x * (0.5 / PI));
    return ((x - turns * 6.28125) - turns * 0.00193500518798828125) - turns * 3.01991598195675286e-7;
}
