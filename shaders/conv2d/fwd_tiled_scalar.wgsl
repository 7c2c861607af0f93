// conv2d.fwd.tiled_scalar: y[n,oh,ow,co] = bias[co] + sum over kh,kw,ci of x[n,ih,iw,ci] * weight[kh,kw,ci,co]
//
// Idea versus implicit_gemm: a workgroup owns a square of outputs, and stages what they need of both factors in workgroup memory,
// a square at a time. Every number loaded there is used SIDE times. Idea versus tiled: an invocation still owns one output, so
// that each product takes two loads from workgroup memory; tiled takes half a load.
// Writes: y =.
// Dispatch: ceil(n*h_out*w_out / SIDE) * ceil(c_out / SIDE) workgroups; an invocation owns one element.
// Shared memory: 8*SIDE*SIDE bytes. Barriers: two for each SIDE of depth.

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

override SIDE: u32 = 16;

var<workgroup> a_tile: array<f32, SIDE * SIDE>;
var<workgroup> b_tile: array<f32, SIDE * SIDE>;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// x at row `row` (an output pixel) and depth `k`; 0 in the padding and past the ends.
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
    if n >= params.n || kh >= params.k_h || ih >= params.h_in || iw >= params.w_in {
        return 0.0;
    }
    return x[((n * params.h_in + ih) * params.w_in + iw) * params.c_in + ci];
}

fn weight_at(k: u32, column: u32) -> f32 {
    if k >= params.k_h * params.k_w * params.c_in || column >= params.c_out {
        return 0.0;
    }
    return weight[k * params.c_out + column];
}

@compute @workgroup_size(SIDE * SIDE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.n * params.h_out * params.w_out;
    let columns = params.c_out;
    let depth = params.k_h * params.k_w * params.c_in;
    let tiles_n = (columns + SIDE - 1u) / SIDE;
    let tile = group_index(group, groups);
    let first_row = tile / tiles_n * SIDE;
    let first_column = tile % tiles_n * SIDE;
    // The same for the whole workgroup, so that none of it waits at a barrier in vain.
    if first_row >= rows {
        return;
    }
    let r = lane / SIDE;
    let c = lane % SIDE;
    var sum = 0.0;
    for (var start = 0u; start < depth; start += SIDE) {
        a_tile[lane] = gather(first_row + r, start + c);
        b_tile[lane] = weight_at(start + r, first_column + c);
        workgroupBarrier();
        for (var k = 0u; k < SIDE; k++) {
            sum += a_tile[r * SIDE + k] * b_tile[k * SIDE + c];
        }
        workgroupBarrier();
    }
    let row = first_row + r;
    let column = first_column + c;
    if row < rows && column < columns {
        y[row * columns + column] = bias[column] + sum;
    }
}
