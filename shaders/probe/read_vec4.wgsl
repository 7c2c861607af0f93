// probe.read_vec4: y[i] = Σ_{k<16} x[i + k * len], for vec4s
//
// Idea: memory that is read, hardly any written: many kernels are like that, and a copy is slower where a store reads
// its cache line first.
// Writes: y =.
// Dispatch: ceil(len / 4 / WORKGROUP) workgroups; an invocation owns one vec4 of y.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let vec4s = params.len / 4u;
    if i >= vec4s {
        return;
    }
    var sum = vec4<f32>();
    for (var k = 0u; k < 16u; k++) {
        sum += x[i + k * vec4s];
    }
    y[i] = sum;
}
