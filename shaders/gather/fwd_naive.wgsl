// gather.fwd.naive: x[i] = pixels[s] * scale + offset, labels[i] = classes[s], s the i-th sample in order
//
// Idea: the baseline, one invocation per element of x. The first of a sample also writes its label.
// Writes: x =, labels =.
// Dispatch: ceil(n*c*h*w / WORKGROUP) workgroups; an invocation owns one element of x.
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
@group(0) @binding(5) var<storage, read_write> x: array<f32>;
@group(0) @binding(6) var<storage, read_write> labels: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let image = params.plane * params.c;
    if i >= params.n * image {
        return;
    }
    let n = i / image;
    let within = i - n * image;
    // Two remainders, so that the sum cannot wrap round 2^32.
    let place = (counter[1] % params.order_len + n) % params.order_len;
    let sample = order[place] % params.total;
    if within == 0u {
        labels[n] = classes[sample];
    }
    // x is NHWC, the bytes are NCHW.
    let pixel = within / params.c;
    let c = within - pixel * params.c;
    let at = sample * image + c * params.plane + pixel;
    let value = (pixels[at / 4u] >> (8u * (at % 4u))) & 0xffu;
    x[i] = f32(value) * params.scale + params.offset;
}
