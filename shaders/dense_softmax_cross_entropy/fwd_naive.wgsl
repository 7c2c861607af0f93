// dense_softmax_cross_entropy.fwd.naive: y = bias + x weight, loss = mean of log(sum exp(y - max)) -
// sum target*(y - max), dlogits = (softmax(y) - target) * dloss / n
//
// Idea: the baseline. One invocation per sample computes its logits, their gradient, loss and hit;
// then a single invocation adds up the losses and hits in order.
// target = (1 - smoothing) * onehot(label) + smoothing / classes.
// Writes: loss, metrics, dlogits =.
// Dispatch: rows: ceil(n / WORKGROUP) workgroups, an invocation owns one sample; sum: one
// workgroup, of which one invocation works.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    features_in: u32,
    classes: u32,
    smoothing: f32,
}

override WORKGROUP: u32 = 64;

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
// Loss and hit of each sample.
@group(0) @binding(9) var<storage, read_write> row_metrics: array<vec2<f32>>;

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
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = group_index(group, groups) * WORKGROUP + lane;
    if r >= params.n {
        return;
    }
    for (var k = 0u; k < params.classes; k++) {
        var sum = bias[k];
        for (var i = 0u; i < params.features_in; i++) {
            sum += x[r * params.features_in + i] * weight[i * params.classes + k];
        }
        dlogits[r * params.classes + k] = sum;
    }
    row_metrics[r] = softmax_row(r);
}

@compute @workgroup_size(1)
fn sum() {
    var total = vec2<f32>();
    for (var r = 0u; r < params.n; r++) {
        total += row_metrics[r];
    }
    metrics[0] = total.x;
    metrics[1] = total.y;
    loss[0] = total.x / f32(params.n);
}
