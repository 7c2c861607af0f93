// gather.fwd.vec4: x[i] = pixels[s] * scale + offset, labels[i] = classes[s], s the i-th sample in order
//
// Idea versus naive: a workgroup to a sample, so that the sample is looked up once per invocation and
// no division is left for the pixels; one word of pixels makes one 16-byte store. Accepts one channel,
// where NHWC and NCHW are the same.
// Writes: x =, labels =.
// Dispatch: n workgroups; an invocation owns every WORKGROUP-th word of its sample, the first also the
// label.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c: u32,
    // h*w
    plane: u32,
    total: u32,
    order_len: u32,
    scale: f32,
    offset: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read> classes: array<u32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read> counter: array<u32>;
@group(0) @binding(5) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> labels: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = group_index(group, groups);
    if n >= params.n {
        return;
    }
    // Two remainders, so that the sum cannot wrap round 2^32.
    let place = (counter[1] % params.order_len + n) % params.order_len;
    let sample = order[place] % params.total;
    if lane == 0u {
        labels[n] = classes[sample];
    }
    let words = params.plane / 4u;
    for (var i = lane; i < words; i += WORKGROUP) {
        let bytes = (vec4<u32>(pixels[sample * words + i]) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
        x[n * words + i] = vec4<f32>(bytes) * params.scale + params.offset;
    }
}
