// nll_loss.fwd.naive: loss = mean of -x[label]
//
// Idea: the baseline. One invocation per sample writes its loss and hit; then a single invocation
// adds them up in order.
// Writes: loss, metrics =.
// Dispatch: rows: ceil(n / WORKGROUP) workgroups, an invocation owns one sample; sum: one
// workgroup, of which one invocation works.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    classes: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> metrics: array<f32>;
// Loss and hit of each sample.
@group(0) @binding(5) var<storage, read_write> row_metrics: array<vec2<f32>>;

// The loss of row r, and 1 if its first largest element is the label, else 0.
fn loss_row(r: u32) -> vec2<f32> {
    let first = r * params.classes;
    let label = labels[r];
    if label >= params.classes {
        // Any bits below these leave it a NaN; a constant NaN would be refused by the compiler.
        return vec2<f32>(bitcast<f32>(0x7fc00000u | label), 0.0);
    }
    var top = x[first];
    var largest = 0u;
    for (var k = 1u; k < params.classes; k++) {
        let v = x[first + k];
        if v > top {
            top = v;
            largest = k;
        }
    }
    return vec2<f32>(-x[first + label], select(0.0, 1.0, largest == label));
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
    row_metrics[r] = loss_row(r);
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
