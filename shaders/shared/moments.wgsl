// Mean and spread of a set of values, from those of its parts: for one channel, and for four at once.
// Against sums of squares, nothing cancels where the mean is large beside the spread.
//
// Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample
// variances", 1979.

struct Moments {
    count: f32,
    mean: f32,
    // Sum of squared distances from the mean.
    m2: f32,
}

fn merge_moments(a: Moments, b: Moments) -> Moments {
    let count = a.count + b.count;
    // Both may be empty.
    let share = b.count / max(count, 1.0);
    let delta = b.mean - a.mean;
    return Moments(count, a.mean + delta * share, a.m2 + b.m2 + delta * (delta * (a.count * share)));
}

fn moments_of_four(a: f32, b: f32, c: f32, d: f32) -> Moments {
    let mean = ((a + b) + (c + d)) * 0.25;
    let p = a - mean;
    let q = b - mean;
    let r = c - mean;
    let s = d - mean;
    return Moments(4.0, mean, (p * p + q * q) + (r * r + s * s));
}

struct Moments4 {
    count: f32,
    mean: vec4<f32>,
    m2: vec4<f32>,
}

fn merge_moments4(a: Moments4, b: Moments4) -> Moments4 {
    let count = a.count + b.count;
    let share = b.count / max(count, 1.0);
    let delta = b.mean - a.mean;
    return Moments4(count, a.mean + delta * share, a.m2 + b.m2 + delta * (delta * (a.count * share)));
}

fn moments_of_four4(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Moments4 {
    let mean = ((a + b) + (c + d)) * 0.25;
    let p = a - mean;
    let q = b - mean;
    let r = c - mean;
    let s = d - mean;
    return Moments4(4.0, mean, (p * p + q * q) + (r * r + s * s));
}
