// sum_of_squares.fwd.naive: sum = sum of x^2
//
// Idea: the baseline, one invocation for the one output. It adds up blocks and then their sums: added one
// by one to a total that grows, squares would lose more and more of their digits. Accepts up to 32,767
// elements: software adapters limit the rounds of a loop.
// Writes: sum =.
// Dispatch: one workgroup of one invocation.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> sum: array<f32>;

const BLOCK: u32 = 64;

@compute @workgroup_size(1)
fn main() {
    var total = 0.0;
    for (var first = 0u; first < params.len; first += BLOCK) {
        var block = 0.0;
        for (var i = first; i < min(first + BLOCK, params.len); i++) {
            block += x[i] * x[i];
        }
        total += block;
    }
    sum[0] = total;
}
