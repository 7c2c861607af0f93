// conv2d_relu_max_pool2d.bwd_weight.subgroup_short_split_k: dweight[kh,kw,ci,co] = sum over n,oh,ow of d[n,oh,ow,co] * x[n,ih,iw,ci],
// dbias[co] = sum over n,oh,ow of d[n,oh,ow,co], where d = dy where the window's argmax is this element and its y > 0, else 0
//
// Idea versus conv2d_weight_bias.bwd_weight.subgroup_short_split_k, which reads d at full size: each line looks up its windows,
// every second step, so that d is never written. For convolutions whose input needs no gradient. The splits and the order
// within them are those of that kernel. Needs windows of 2 x 2, next to each other and without padding, c_out to be a multiple of 4.
// Writes: dweight =, dbias =.
// Dispatch: `partial` ceil(k_h*k_w*c_in / 16) * ceil(c_out / 32) workgroups of 8 in each of `splits`
// layers, a lane owns 16 x 4 weights of one split; `reduce` one invocation per four weights, and
// behind them per four biases.
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

const SHORT_ROWS: u32 = 16;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> argmax: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> dweight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> dbias: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> bias_partials: array<vec4<f32>>;

fn store(split: u32, row: u32, column4: u32, value: vec4<f32>) {
    let rows = params.k_h * params.k_w * params.c_in;
    if row < rows && column4 < params.c_out / 4u {
        partials[(split * rows + row) * (params.c_out / 4u) + column4] = value;
    }
}

fn lanes_0_to_3(a: f32) -> vec4<f32> {
    return vec4(subgroupBroadcast(a, 0u), subgroupBroadcast(a, 1u), subgroupBroadcast(a, 2u), subgroupBroadcast(a, 3u));
}

fn lanes_4_to_7(a: f32) -> vec4<f32> {
    return vec4(subgroupBroadcast(a, 4u), subgroupBroadcast(a, 5u), subgroupBroadcast(a, 6u), subgroupBroadcast(a, 7u));
}

// Eight rows, by constant indices: a loop that stays one would keep the accumulators in memory.
fn store_8(split: u32, first_row: u32, column4: u32, acc: Rows8) {
    store(split, first_row, column4, acc[0]);
    store(split, first_row + 1u, column4, acc[1]);
    store(split, first_row + 2u, column4, acc[2]);
    store(split, first_row + 3u, column4, acc[3]);
    store(split, first_row + 4u, column4, acc[4]);
    store(split, first_row + 5u, column4, acc[5]);
    store(split, first_row + 6u, column4, acc[6]);
    store(split, first_row + 7u, column4, acc[7]);
}

fn store_bias(split: u32, column4: u32, value: vec4<f32>) {
    if column4 < params.c_out / 4u {
        bias_partials[split * (params.c_out / 4u) + column4] = value;
    }
}

// The argmax of an element without a window: no place in any image.
const NOWHERE: u32 = 0xffffffffu;

// What a window hands down, and where to.
struct Upstream {
    value: vec4<f32>,
    at: vec4<u32>,
}

// The window in which output (oh, ow) of image n lies, if it lies in one.
fn window(n: u32, oh: u32, ow: u32, column: u32) -> Upstream {
    if oh / 2u >= params.h_out || ow / 2u >= params.w_out {
        return Upstream(vec4<f32>(), vec4<u32>(NOWHERE));
    }
    let o = ((n * params.h_out + oh / 2u) * params.w_out + ow / 2u) * (params.c_out / 4u) + column;
    return Upstream(select(vec4<f32>(), dy[o], y[o] > vec4<f32>()), argmax[o]);
}

@compute @workgroup_size(LANES)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = params.k_h * params.k_w * params.c_in;
    let columns4 = params.c_out / 4u;
    let tiles_n = (columns4 + COLUMNS4 - 1u) / COLUMNS4;
    let tile = group_index(group, groups);
    let first_row = tile / tiles_n * SHORT_ROWS;
    let first_column4 = tile % tiles_n * COLUMNS4;
    if first_row >= rows {
        return;
    }
    // Columns past the end load the last ones and are not stored.
    let column4 = first_column4 + lane;
    let safe4 = min(column4, columns4 - 1u);
    // The two weights whose x this lane loads; past the end it loads those of the last.
    let row = min(first_row + lane + vec2(0u, 8u), vec2(rows - 1u));
    let kernel = row / params.c_in;
    let kh = kernel / params.k_w;
    let first_h = kh * params.dilation_h - params.pad_h;
    let first_w = (kernel - kh * params.k_w) * params.dilation_w - params.pad_w;
    let ci = row - kernel * params.c_in;
    var bias_sum = vec4<f32>();
    var acc0 = Rows8();
    var acc1 = Rows8();
    let lines = params.n * params.h_mid;
    let per_split = (lines + params.splits - 1u) / params.splits;
    let end = min(lines, (group.z + 1u) * per_split);
    for (var line = group.z * per_split; line < end; line++) {
        let n = divide(line, params.h_mid);
        // Left of or above the image wraps to a huge number: one comparison guards both sides.
        let oh = line - n * params.h_mid;
        let ih = first_h + oh * params.stride_h;
        let inside_h = ih < vec2(params.h_in);
        let from_x = (n * params.h_in + ih) * params.w_in;
        var upstream = Upstream(vec4<f32>(), vec4<u32>(NOWHERE));
        var iw = first_w;
        for (var ow = 0u; ow < params.w_mid; ow++) {
            let inside = inside_h & (iw < vec2(params.w_in));
            let at = select(vec2<u32>(), (from_x + iw) * params.c_in + ci, inside);
            let a = select(vec2<f32>(), vec2(x[at.x], x[at.y]), inside);
            if ow % 2u == 0u {
                upstream = window(n, oh, ow, safe4);
            }
            let b = select(vec4<f32>(), upstream.value, upstream.at == vec4<u32>(oh * params.w_mid + ow));
            bias_sum += b;
            outer_4_4(&acc0, lanes_0_to_3(a.x), lanes_4_to_7(a.x), b);
            outer_4_4(&acc1, lanes_0_to_3(a.y), lanes_4_to_7(a.y), b);
            iw += params.stride_w;
        }
    }
    if first_row == 0u {
        store_bias(group.z, column4, bias_sum);
    }
    store_8(group.z, first_row, column4, acc0);
    store_8(group.z, first_row + 8u, column4, acc1);
}

fn reduce_bias(column: u32) {
    let columns = params.c_out / 4u;
    if column >= columns {
        return;
    }
    var sum = vec4<f32>();
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
    let len = params.k_h * params.k_w * params.c_in * (params.c_out / 4u);
    if i >= len {
        reduce_bias(i - len);
        return;
    }
    var sum = vec4<f32>();
    for (var split = 0u; split < params.splits; split++) {
        sum += partials[split * len + i];
    }
    dweight[i] = sum;
}
