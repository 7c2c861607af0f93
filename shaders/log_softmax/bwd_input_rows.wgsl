// log_softmax.bwd_input.rows: dx = dy - exp(y) * sum dy, over a row
//
// Idea versus naive: one invocation per row, which is added up once for all of its elements.
// Writes: dx =.
// Dispatch: ceil(n / WORKGROUP) workgroups; an invocation owns one row.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    classes: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = group_index(group, groups) * WORKGROUP + lane;
    if r >= params.n {
        return;
    }
    let first = r * params.classes;
    var sum = 0.0;
    for (var k = 0u; k < params.classes; k++) {
        sum += dy[first + k];
    }
    for (var k = 0u; k < params.classes; k++) {
        dx[first + k] = dy[first + k] - exp(y[first + k]) * sum;
    }
}
