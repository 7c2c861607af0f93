// dense_softmax_cross_entropy.fwd.single_group: y = bias + x weight, loss = mean of log(sum exp(y - max)) -
// sum target*(y - max), dlogits = (softmax(y) - target) * dloss / n
//
// Idea versus naive: one workgroup for the whole batch, hence one dispatch and no buffer in between;
// its invocations share the logits out by element, not by sample, so that all of them have work.
// Losses and hits are added up as in softmax_cross_entropy.fwd.single_group. Accepts heads so small
// that more workgroups would not pay for a second dispatch.
// target = (1 - smoothing) * onehot(label) + smoothing / classes.
// Writes: loss, metrics, dlogits =.
// Dispatch: one workgroup; an invocation owns every WORKGROUP-th logit, each of the first SUMS every
// SUMS-th sample.
// Shared memory: 8 * SUMS bytes. Barriers: one before the samples, log2(SUMS), one before each level of
// the tree. WORKGROUP is at least SUMS, a power of 2.

struct Params {
    n: u32,
    features_in: u32,
    classes: u32,
    smoothing: f32,
}

override WORKGROUP: u32 = 256;

// Sums of losses and hits that the tree begins with.
const SUMS: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> labels: array<u32>;
@group(0) @binding(5) var<storage, read> dloss: array<f32>;
@group(0) @binding(6) var<storage, read_write> loss: array<f32>;
@group(0) @binding(7) var<storage, read_write> metrics: array<f32>;
// Holds the logits until their gradient takes their place.
@group(0) @binding(8) var<storage, read_write> dlogits: array<f32>;

var<workgroup> totals: array<vec2<f32>, SUMS>;

// Replaces the logits of row r by their gradient and returns the row's loss, and 1 if its first
// largest logit is the label, else 0.
fn softmax_row(r: u32) -> vec2<f32> {
    let first = r * params.classes;
    let label = labels[r];
    // Comparisons, not max(): a NaN they pass over still reaches the sum.
    var top = dlogits[first];
    var largest = 0u;
    for (var k = 1u; k < params.classes; k++) {
        let v = dlogits[first + k];
        if v > top {
            top = v;
            largest = k;
        }
    }
    // A label that is no class matches none.
    let is_class = label < params.classes;
    var wanted = dlogits[first + select(0u, label, is_class)] - top;
    if params.smoothing > 0.0 {
        var all = 0.0;
        for (var k = 0u; k < params.classes; k++) {
            all += dlogits[first + k] - top;
        }
        wanted += params.smoothing * (all / f32(params.classes) - wanted);
    }
    var sum = 0.0;
    for (var k = 0u; k < params.classes; k++) {
        let e = exp(dlogits[first + k] - top);
        // Here until the sum is known.
        dlogits[first + k] = e;
        sum += e;
    }
    let scale = dloss[0] / f32(params.n);
    for (var k = 0u; k < params.classes; k++) {
        let onehot = select(0.0, 1.0, k == label);
        let target_k = (1.0 - params.smoothing) * onehot + params.smoothing / f32(params.classes);
        dlogits[first + k] = (dlogits[first + k] / sum - target_k) * scale;
    }
    if !is_class {
        // Any bits below these leave it a NaN; a constant NaN would be refused by the compiler.
        return vec2<f32>(bitcast<f32>(0x7fc00000u | label), 0.0);
    }
    return vec2<f32>(log(sum) - wanted, select(0.0, 1.0, largest == label));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    for (var at = lane; at < params.n * params.classes; at += WORKGROUP) {
        let r = at / params.classes;
        let k = at - r * params.classes;
        var sum = 0.0;
        for (var i = 0u; i < params.features_in; i++) {
            sum += x[r * params.features_in + i] * weight[i * params.classes + k];
        }
        dlogits[at] = sum + bias[k];
    }
    storageBarrier();
    if lane < SUMS {
        var mine = vec2<f32>();
        for (var r = lane; r < params.n; r += SUMS) {
            mine += softmax_row(r);
        }
        totals[lane] = mine;
    }
    for (var half = SUMS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            totals[lane] += totals[lane + half];
        }
    }
    if lane == 0u {
        let total = totals[0];
        metrics[0] = total.x;
        metrics[1] = total.y;
        loss[0] = total.x / f32(params.n);
    }
}
