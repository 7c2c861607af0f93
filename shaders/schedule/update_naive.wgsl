// schedule.update.naive: t = step + 1; counter = [t, position + batch, seed_lo, seed_hi];
// rates = [lr at step, 1/(1-beta1^t), 1/sqrt(1-beta2^t), 0]
//
// Idea: the baseline and the only rung, since eight numbers are one invocation's work.
// Writes: counter in place, its seed untouched; rates =.
// Numerics: decay = -ln(beta) comes from the host, which takes it in f64; here 1 - beta^t is
// 1 - exp(-t*decay), by its series where the subtraction would cancel. Not 1 - pow(beta, t): the
// logarithm in pow() may be off by 2^-21, which is 1/3000 of log2(0.999). The cosines of the learning
// rate are squared sines, so that nothing cancels where the rate comes to its end.
// Dispatch: one workgroup of one invocation.
// Shared memory: none. Barriers: none.

struct Params {
    batch: u32,
    lr: f32,
    decay1: f32,
    decay2: f32,
    warm_up: u32,
    // 0: constant, 1: step, 2: cosine, 3: one cycle
    shape: u32,
    // Between two drops (1), or of the whole course (2, 3)
    steps: u32,
    // -ln(factor) (1)
    drop: f32,
    // The first rate (3) and the last (2, 3)
    first: f32,
    last: f32,
    // Steps up to the peak and from there to the end (3)
    rise: f32,
    fall: f32,
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

// (1 - cos(pi*p)) / 2: from 0 to 1 as p goes from 0 to 1.
fn ease(p: f32) -> f32 {
    let root = sine_of_quarter(p * HALF_PI);
    return root * root;
}

// The learning rate s steps after the warm-up.
fn decayed(s: u32) -> f32 {
    switch params.shape {
        case 1u: {
            let drops = s / params.steps;
            let rate = params.lr * exp(-min(f32(drops) * params.drop, 100.0));
            return select(rate, params.lr, drops == 0u);
        }
        case 2u: {
            let left = params.steps - min(s, params.steps);
            return params.last + (params.lr - params.last) * ease(f32(left) / f32(params.steps));
        }
        case 3u: {
            let end = params.steps - 1u;
            let at = min(s, end);
            if f32(at) < params.rise {
                return params.first + (params.lr - params.first) * ease(f32(at) / params.rise);
            }
            return params.last + (params.lr - params.last) * ease(f32(end - at) / params.fall);
        }
        default: {
            return params.lr;
        }
    }
}

@compute @workgroup_size(1)
fn main() {
    let step = counter[0];
    let t = step + 1u;
    counter[0] = t;
    counter[1] = counter[1] + params.batch;
    // Of the step that is being taken, counted from 0.
    if step < params.warm_up {
        rates[0] = decayed(0u) * (f32(t) / f32(params.warm_up));
    } else {
        rates[0] = decayed(step - params.warm_up);
    }
    rates[1] = 1.0 / one_minus_exp(f32(t) * params.decay1);
    rates[2] = 1.0 / sqrt(one_minus_exp(f32(t) * params.decay2));
    rates[3] = 0.0;
}
