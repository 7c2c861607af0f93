// conv2d_relu_max_pool2d.bwd_weight.direct_split_k: dweight[kh,kw,ci,co] = sum over n,oh,ow of d[n,oh,ow,co] * x[n,ih,iw,ci],
// dbias[co] = sum over n,oh,ow of d[n,oh,ow,co], where d = dy where the window's argmax is this element and its y > 0, else 0
//
// Idea versus conv2d_weight_bias.bwd_weight.direct_split_k, which reads d at full size: each line looks up its windows,
// every second step, so that d is never written. For convolutions whose input needs no gradient. The splits and the order
// within them are those of that kernel. Needs windows of 2 x 2, next to each other and without padding,
// stride 1 and dilation 1 along the width, and at most LINES lines and TAPS columns.
// Writes: dweight =, dbias =.
// Dispatch: `partial` ceil(k_h*c_in / LINES) * ceil(c_out / 8) workgroups of 8 in each of `splits`
// layers, a lane owns LINES x TAPS weights of one channel and one split; `reduce` one invocation per
// weight, and behind them per bias.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
    // What the convolution gives and the pooling takes.
    h_mid: u32,
    w_mid: u32,
    h_out: u32,
    w_out: u32,
    // Of the convolution.
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    // Of the pooling.
    pool_k_h: u32,
    pool_k_w: u32,
    pool_stride_h: u32,
    pool_stride_w: u32,
    pool_pad_h: u32,
    pool_pad_w: u32,
    pool_dilation_h: u32,
    pool_dilation_w: u32,
    // Parts of the sums over what the convolution gives.
    splits: u32,
}

override WORKGROUP: u32 = 64;

const LANES: u32 = 8;
const LINES: u32 = 5;
const TAPS: u32 = 5;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> argmax: array<u32>;
@group(0) @binding(4) var<storage, read> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(6) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(7) var<storage, read_write> partials: array<f32>;
@group(0) @binding(8) var<storage, read_write> bias_partials: array<f32>;

// One tap of LINES lines of the kernel, in a lane's channel.
alias Lines = array<f32, LINES>;

// acc += x dy: lane i has x of line i, and dy of its own channel.
fn outer_5(acc: ptr<function, Lines>, a: f32, b: f32) {
    (*acc)[0] += subgroupBroadcast(a, 0u) * b;
    (*acc)[1] += subgroupBroadcast(a, 1u) * b;
    (*acc)[2] += subgroupBroadcast(a, 2u) * b;
    (*acc)[3] += subgroupBroadcast(a, 3u) * b;
    (*acc)[4] += subgroupBroadcast(a, 4u) * b;
}

// Pixel iw of a line of x; outside of the image wraps to a huge number.
fn pixel(line: u32, iw: u32, ci: u32, inside_h: bool) -> f32 {
    let inside = inside_h & (iw < params.w_in);
    return select(0.0, x[select(0u, (line + iw) * params.c_in + ci, inside)], inside);
}

fn store(split: u32, line: u32, kw: u32, column: u32, value: f32) {
    if line >= params.k_h * params.c_in || kw >= params.k_w || column >= params.c_out {
        return;
    }
    let kh = line / params.c_in;
    let ci = line - kh * params.c_in;
    let row = (kh * params.k_w + kw) * params.c_in + ci;
    partials[(split * params.k_h * params.k_w * params.c_in + row) * params.c_out + column] = value;
}

// By constant indices: a loop that stays one would keep the accumulators in memory.
fn store_5(split: u32, first_line: u32, kw: u32, column: u32, acc: Lines) {
    store(split, first_line, kw, column, acc[0]);
    store(split, first_line + 1u, kw, column, acc[1]);
    store(split, first_line + 2u, kw, column, acc[2]);
    store(split, first_line + 3u, kw, column, acc[3]);
    store(split, first_line + 4u, kw, column, acc[4]);
}

// The argmax of an element without a window: no place in any image.
const NOWHERE: u32 = 0xffffffffu;

// What a window hands down, and where to.
struct Upstream {
    value: f32,
    at: u32,
}

// The window in which output (oh, ow) of image n lies, if it lies in one.
fn window(n: u32, oh: u32, ow: u32, column: u32) -> Upstream {
    if oh / 2u >= params.h_out || ow / 2u >= params.w_out {
        return Upstream(0.0, NOWHERE);
    }
    let o = ((n * params.h_out + oh / 2u) * params.w_out + ow / 2u) * params.c_out + column;
    return Upstream(select(0.0, dy[o], y[o] > 0.0), argmax[o]);
}

@compute @workgroup_size(LANES)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let kernel_lines = params.k_h * params.c_in;
    let columns = params.c_out;
    let tiles_n = (columns + LANES - 1u) / LANES;
    let tile = group_index(group, groups);
    let first_line = tile / tiles_n * LINES;
    if first_line >= kernel_lines {
        return;
    }
    // A column past the end loads the last one and is not stored.
    let column = tile % tiles_n * LANES + lane;
    let safe_column = min(column, columns - 1u);
    // The line of the kernel whose x this lane loads; past the end it loads that of the last.
    let kernel_line = min(first_line + lane, kernel_lines - 1u);
    let kh = kernel_line / params.c_in;
    let ci = kernel_line - kh * params.c_in;
    let first_h = kh * params.dilation_h - params.pad_h;
    var bias_sum = 0.0;
    var acc0 = Lines();
    var acc1 = Lines();
    var acc2 = Lines();
    var acc3 = Lines();
    var acc4 = Lines();
    let lines = params.n * params.h_mid;
    let per_split = (lines + params.splits - 1u) / params.splits;
    let end = min(lines, (group.z + 1u) * per_split);
    for (var line = group.z * per_split; line < end; line++) {
        let n = divide(line, params.h_mid);
        let oh = line - n * params.h_mid;
        let ih = first_h + oh * params.stride_h;
        let inside_h = ih < params.h_in;
        let from_x = (n * params.h_in + ih) * params.w_in;
        var upstream = Upstream(0.0, NOWHERE);
        // x under the taps at the output before the first; the last is not there yet.
        var iw = 0u - params.pad_w;
        var a0 = 0.0;
        var a1 = pixel(from_x, iw, ci, inside_h);
        var a2 = pixel(from_x, iw + 1u, ci, inside_h);
        var a3 = pixel(from_x, iw + 2u, ci, inside_h);
        var a4 = pixel(from_x, iw + 3u, ci, inside_h);
        iw += 4u;
        for (var ow = 0u; ow < params.w_mid; ow++) {
            a0 = a1;
            a1 = a2;
            a2 = a3;
            a3 = a4;
            a4 = pixel(from_x, iw, ci, inside_h);
            if ow % 2u == 0u {
                upstream = window(n, oh, ow, safe_column);
            }
            let b = select(0.0, upstream.value, upstream.at == oh * params.w_mid + ow);
            bias_sum += b;
            outer_5(&acc0, a0, b);
            outer_5(&acc1, a1, b);
            outer_5(&acc2, a2, b);
            outer_5(&acc3, a3, b);
            outer_5(&acc4, a4, b);
            iw += 1u;
        }
    }
    if first_line == 0u && column < columns {
        bias_partials[group.z * columns + column] = bias_sum;
    }
    store_5(group.z, first_line, 0u, column, acc0);
    store_5(group.z, first_line, 1u, column, acc1);
    store_5(group.z, first_line, 2u, column, acc2);
    store_5(group.z, first_line, 3u, column, acc3);
    store_5(group.z, first_line, 4u, column, acc4);
}

fn reduce_bias(column: u32) {
    let columns = params.c_out;
    if column >= columns {
        return;
    }
    var sum = 0.0;
    for (var split = 0u; split < params.splits; split++) {
        sum += bias_partials[split * columns + column];
    }
    dbias[column] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn reduce(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    let len = params.k_h * params.k_w * params.c_in * params.c_out;
    if i >= len {
        reduce_bias(i - len);
        return;
    }
    var sum = 0.0;
    for (var split = 0u; split < params.splits; split++) {
        sum += partials[split * len + i];
    }
    dweight[i] = sum;
}
