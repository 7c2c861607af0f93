// log_softmax.fwd.naive: y = x - max - log(sum exp(x - max)), over a row
//
// Idea: the baseline, one invocation per element, each of which walks its row twice.
// Writes: y =.
// Dispatch: ceil(n * classes / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    classes: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.classes {
        return;
    }
    let first = i / params.classes * params.classes;
    // Comparisons, not max(): a NaN they pass over still reaches the sum.
    var top = x[first];
    for (var k = 1u; k < params.classes; k++) {
        let v = x[first + k];
        if v > top {
            top = v;
        }
    }
    var sum = 0.0;
    for (var k = 0u; k < params.classes; k++) {
        sum += exp(x[first + k] - top);
    }
    let log_sum = log(sum);
    y[i] = (x[i] - top) - log_sum;
}
