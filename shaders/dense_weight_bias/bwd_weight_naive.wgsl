// dense_weight_bias.bwd_weight.naive: dweight[i,o] = sum over n of dy[n,o] * x[n,i], dbias[o] = sum over n of dy[n,o]
//
// Idea: the baseline, one invocation per weight.
// Behind the weights come the biases.
// Writes: dweight =, dbias =.
// Dispatch: ceil((features_in + 1) * features_out / WORKGROUP) workgroups; an invocation owns one weight or one bias.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(4) var<storage, read_write> dbias: array<f32>;

fn add_up(o: u32) -> f32 {
    var sum = 0.0;
    for (var n = 0u; n < params.n; n++) {
        sum += dy[n * params.features_out + o];
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = group_index(group, groups) * WORKGROUP + lane;
    let weights = params.features_in * params.features_out;
    if at >= weights {
        if at < weights + params.features_out {
            dbias[at - weights] = add_up(at - weights);
        }
        return;
    }
    let o = at % params.features_out;
    let i = at / params.features_out;
    var sum = 0.0;
    for (var n = 0u; n < params.n; n++) {
        sum += dy[n * params.features_out + o] * x[n * params.features_in + i];
    }
    dweight[at] = sum;
}
