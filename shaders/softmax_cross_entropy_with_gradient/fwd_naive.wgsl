// softmax_cross_entropy_with_gradient.fwd.naive: loss = mean of log(sum exp(x - max)) - sum target*(x - max),
// dx = (softmax(x) - target) * dloss / n
//
// Idea: the baseline. One invocation per sample writes its gradient, loss and hit; then a
// single invocation adds up the losses and hits in order.
// target = (1 - smoothing) * onehot(label) + smoothing / classes.
// Writes: loss, metrics, dx =.
// Dispatch: rows: ceil(n / WORKGROUP) workgroups, an invocation owns one sample; sum: one
// workgroup, of which one invocation works.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    classes: u32,
    smoothing: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> dloss: array<f32>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;
@group(0) @binding(5) var<storage, read_write> metrics: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
// Loss and hit of each sample.
@group(0) @binding(7) var<storage, read_write> row_metrics: array<vec2<f32>>;

// Writes the gradient of row r and returns its loss, and 1 if its first largest logit is the
// label, else 0.
fn softmax_row(r: u32) -> vec2<f32> {
    let first = r * params.classes;
    // Comparisons, not max(): a NaN they pass over still reaches the sum.
    var top = x[first];
    var largest = 0u;
    for (var k = 1u; k < params.classes; k++) {
        let v = x[first + k];
        if v > top {
            top = v;
            largest = k;
        }
    }
    var sum = 0.0;
    for (var k = 0u; k < params.classes; k++) {
        let e = exp(x[first + k] - top);
        // Here until the sum is known.
        dx[first + k] = e;
        sum += e;
    }
    // A label that is no class matches none.
    let label = labels[r];
    let scale = dloss[0] / f32(params.n);
    for (var k = 0u; k < params.classes; k++) {
        let onehot = select(0.0, 1.0, k == label);
        let target_k = (1.0 - params.smoothing) * onehot + params.smoothing / f32(params.classes);
        dx[first + k] = (dx[first + k] / sum - target_k) * scale;
    }
    if label >= params.classes {
        // Any bits below these leave it a NaN; a constant NaN would be refused by the compiler.
        return vec2<f32>(bitcast<f32>(0x7fc00000u | label), 0.0);
    }
    var wanted = x[first + label] - top;
    if params.smoothing > 0.0 {
        var all = 0.0;
        for (var k = 0u; k < params.classes; k++) {
            all += x[first + k] - top;
        }
        wanted += params.smoothing * (all / f32(params.classes) - wanted);
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
