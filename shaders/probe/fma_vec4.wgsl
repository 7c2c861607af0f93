// probe.fma_vec4: y[i] = Σ_{j<8} a_j, where a_j starts at x[i] + j and becomes a_j * m + c again and again
//
// Idea versus `fma_scalar`: every chain is a vec4, so there are 32 that do not wait for one another: more than the
// registers of most CPUs, what some GPUs need.
// Writes: y =.
// Dispatch: ceil(len / 4 / WORKGROUP) workgroups; an invocation owns one vec4.
// 16 multiply-adds of each chain to a round.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
    rounds: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> factors: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn four(a: vec4<f32>, m: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
    return multiply_add4(multiply_add4(multiply_add4(multiply_add4(a, m, c), m, c), m, c), m, c);
}

fn sixteen(a: vec4<f32>, m: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
    return four(four(four(four(a, m, c), m, c), m, c), m, c);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.len / 4u {
        return;
    }
    let m = vec4<f32>(factors[0]);
    let c = vec4<f32>(factors[1]);
    var a0 = x[i];
    var a1 = a0 + 1.0;
    var a2 = a0 + 2.0;
    var a3 = a0 + 3.0;
    var a4 = a0 + 4.0;
    var a5 = a0 + 5.0;
    var a6 = a0 + 6.0;
    var a7 = a0 + 7.0;
    for (var round = 0u; round < params.rounds; round++) {
        a0 = sixteen(a0, m, c);
        a1 = sixteen(a1, m, c);
        a2 = sixteen(a2, m, c);
        a3 = sixteen(a3, m, c);
        a4 = sixteen(a4, m, c);
        a5 = sixteen(a5, m, c);
        a6 = sixteen(a6, m, c);
        a7 = sixteen(a7, m, c);
    }
    y[i] = ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7));
}
