// softmax_cross_entropy_with_gradient.fwd.tiled: loss = mean of log(sum exp(x - max)) - sum target*(x - max),
// dx = (softmax(x) - target) * dloss / n
//
// Idea versus naive: each workgroup adds up the losses and hits of its own samples as a tree in
// workgroup memory, and one workgroup those of all workgroups, so that no invocation walks the
// batch.
// target = (1 - smoothing) * onehot(label) + smoothing / classes.
// Writes: loss, metrics, dx =.
// Dispatch: rows: ceil(n / WORKGROUP) workgroups, an invocation owns one sample; sum: one
// workgroup, an invocation owns every WORKGROUP-th group of samples.
// Shared memory: 8 * WORKGROUP bytes. Barriers: log2(WORKGROUP), one before each level of the tree.
// WORKGROUP is a power of 2.

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
// Losses and hits of each workgroup.
@group(0) @binding(7) var<storage, read_write> group_metrics: array<vec2<f32>>;

var<workgroup> totals: array<vec2<f32>, WORKGROUP>;

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

// Adds up what the invocations hold, halving the number of summands; the sum is in totals[0].
fn add_up(lane: u32, mine: vec2<f32>) {
    totals[lane] = mine;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            totals[lane] += totals[lane + half];
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = group_index(group, groups);
    let r = tile * WORKGROUP + lane;
    var mine = vec2<f32>();
    if r < params.n {
        mine = softmax_row(r);
    }
    add_up(lane, mine);
    // The last tile may be a part of one, and workgroups past it have none.
    if lane == 0u && tile * WORKGROUP < params.n {
        group_metrics[tile] = totals[0];
    }
}

@compute @workgroup_size(WORKGROUP)
fn sum(@builtin(local_invocation_index) lane: u32) {
    let tiles = (params.n + WORKGROUP - 1u) / WORKGROUP;
    var mine = vec2<f32>();
    for (var tile = lane; tile < tiles; tile += WORKGROUP) {
        mine += group_metrics[tile];
    }
    add_up(lane, mine);
    if lane == 0u {
        let total = totals[0];
        metrics[0] = total.x;
        metrics[1] = total.y;
        loss[0] = total.x / f32(params.n);
    }
}
