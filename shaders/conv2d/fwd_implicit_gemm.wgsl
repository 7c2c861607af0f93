// conv2d.fwd.implicit_gemm: y[n,oh,ow,co] = bias[co] + sum over kh,kw,ci of x[n,ih,iw,ci] * weight[kh,kw,ci,co]
//
// Idea versus naive: the convolution is a matrix product, never written out: rows are output pixels (n,oh,ow), columns output
// channels, and the depth runs over (kh,kw,ci) in one loop. Nothing is shared yet; this is the step before tiles, and slower
// than naive by the divisions that find a pixel.
// Writes: y =.
// Dispatch: ceil(n*h_out*w_out*c_out / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
    h_out: u32,
    w_out: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    splits: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// x at row `row` (an output pixel) and depth `k`; 0 in the padding.
fn gather(row: u32, k: u32) -> f32 {
    let ci = k % params.c_in;
    let kernel = k / params.c_in;
    let kw = kernel % params.k_w;
    let kh = kernel / params.k_w;
    let ow = row % params.w_out;
    let oh = row / params.w_out % params.h_out;
    let n = row / params.w_out / params.h_out;
    let ih = oh * params.stride_h + kh * params.dilation_h - params.pad_h;
    let iw = ow * params.stride_w + kw * params.dilation_w - params.pad_w;
    if ih >= params.h_in || iw >= params.w_in {
        return 0.0;
    }
    return x[((n * params.h_in + ih) * params.w_in + iw) * params.c_in + ci];
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n * params.h_out * params.w_out;
    let columns = params.c_out;
    let depth = params.k_h * params.k_w * params.c_in;
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= rows * columns {
        return;
    }
    let row = i / columns;
    let column = i % columns;
    var sum = 0.0;
    for (var k = 0u; k < depth; k++) {
        sum += gather(row, k) * weight[k * columns + column];
    }
    y[i] = bias[column] + sum;
}
