// schedule.update.naive: t = step + 1; counter = [t, position + batch, seed_lo, seed_hi];
// rates = [lr, 1/(1-beta1^t), 1/sqrt(1-beta2^t), 0]
//
// Idea: the baseline and the only rung, since eight numbers are one invocation's work.
// Writes: counter in place, its seed untouched; rates =.
// Numerics: decay = -ln(beta) comes from the host, which takes it in f64; here 1 - beta^t is
// 1 - exp(-t*decay), by its series where the subtraction would cancel. Not 1 - pow(beta, t): the
// logarithm in pow() may be off by 2^-21, which is 1/3000 of log2(0.999).
// Dispatch: one workgroup of one invocation.
// Shared memory: none. Barriers: none.

struct Params {
    batch: u32,
    lr: f32,
    decay1: f32,
    decay2: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> counter: array<u32>;
@group(0) @binding(2) var<storage, read_write> rates: array<f32>;

// 1 - exp(-y) for y >= 0.
fn one_minus_exp(y: f32) -> f32 {
    if y > 1.0 {
        // Beyond 100 nothing of the exponential is left, and no exp() is asked about huge numbers.
        return 1.0 - exp(-min(y, 100.0));
    }
    // y - y²/2! + y³/3! - … - y^10/10!, from the inside out; the next term is below 3e-8.
    var sum = 1.0;
    for (var k = 10u; k >= 2u; k -= 1u) {
        sum = 1.0 - y / f32(k) * sum;
    }
    return y * sum;
}

@compute @workgroup_size(1)
fn main() {
    let t = counter[0] + 1u;
    counter[0] = t;
    counter[1] = counter[1] + params.batch;
    rates[0] = params.lr;
    rates[1] = 1.0 / one_minus_exp(f32(t) * params.decay1);
    rates[2] = 1.0 / sqrt(one_minus_exp(f32(t) * params.decay2));
    rates[3] = 0.0;
}
