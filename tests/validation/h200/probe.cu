// Runs single sparse and dense tensor-core instructions on given register images and returns the raw results.
#include <cstdint>
#include <cstdio>
#include <cuda_runtime.h>
#define CK(x) do { cudaError_t err_ = (x); if (err_ != cudaSuccess) { fprintf(stderr, "line %d: %s\n", __LINE__, cudaGetErrorString(err_)); return 1; } } while (0)
// one warp a tile; a: NA regs/lane, b: NB regs/lane, c/d: 4 regs/lane, e: metadata/lane
#define MMA4(NAME, INSTR) \
__global__ void NAME(const uint32_t* a, const uint32_t* b, const uint32_t* c, const uint32_t* e, uint32_t* d) { \
  int i = blockIdx.x * 32 + threadIdx.x; const uint32_t *A = a + 4*i, *B = b + 4*i, *C = c + 4*i; uint32_t E = e[i], d0, d1, d2, d3; \
  asm volatile(INSTR " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%12,%13,%14,%15}, %16, 0x0;\n" \
    : "=r"(d0), "=r"(d1), "=r"(d2), "=r"(d3) : "r"(A[0]), "r"(A[1]), "r"(A[2]), "r"(A[3]), "r"(B[0]), "r"(B[1]), "r"(B[2]), "r"(B[3]), \
      "r"(C[0]), "r"(C[1]), "r"(C[2]), "r"(C[3]), "r"(E)); \
  d[4*i] = d0; d[4*i+1] = d1; d[4*i+2] = d2; d[4*i+3] = d3; }
#define ASMF(s) s
// float accumulators are passed as raw registers through mov, so that "r" works
#define MMA4F(NAME, INSTR) \
__global__ void NAME(const uint32_t* a, const uint32_t* b, const uint32_t* c, const uint32_t* e, uint32_t* d) { \
  int i = blockIdx.x * 32 + threadIdx.x; const uint32_t *A = a + 4*i, *B = b + 4*i; const float* C = (const float*)c + 4*i; uint32_t E = e[i]; float d0, d1, d2, d3; \
  asm volatile(INSTR " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%12,%13,%14,%15}, %16, 0x0;\n" \
    : "=f"(d0), "=f"(d1), "=f"(d2), "=f"(d3) : "r"(A[0]), "r"(A[1]), "r"(A[2]), "r"(A[3]), "r"(B[0]), "r"(B[1]), "r"(B[2]), "r"(B[3]), \
      "f"(C[0]), "f"(C[1]), "f"(C[2]), "f"(C[3]), "r"(E)); \
  float* D = (float*)d + 4*i; D[0] = d0; D[1] = d1; D[2] = d2; D[3] = d3; }
MMA4F(sp_f16,  "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32")
MMA4F(sp_bf16, "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32")
MMA4F(sp_tf32, "mma.sp::ordered_metadata.sync.aligned.m16n8k16.row.col.f32.tf32.tf32.f32")
MMA4F(sp_e4m3, "mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.f32.e4m3.e4m3.f32")
MMA4(sp_s8,    "mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.s32.s8.s8.s32")

// dense twins and further sparse forms; raw registers in and out. B has two registers a lane in dense forms (the first two of four are read)
#define MMAD(NAME, INSTR) \
__global__ void NAME(const uint32_t* a, const uint32_t* b, const uint32_t* c, const uint32_t* e, uint32_t* d) { \
  int i = blockIdx.x * 32 + threadIdx.x; const uint32_t *A = a + 4*i, *B = b + 4*i; const float* C = (const float*)c + 4*i; float d0, d1, d2, d3; \
  asm volatile(INSTR " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};\n" \
    : "=f"(d0), "=f"(d1), "=f"(d2), "=f"(d3) : "r"(A[0]), "r"(A[1]), "r"(A[2]), "r"(A[3]), "r"(B[0]), "r"(B[1]), \
      "f"(C[0]), "f"(C[1]), "f"(C[2]), "f"(C[3])); \
  float* D = (float*)d + 4*i; D[0] = d0; D[1] = d1; D[2] = d2; D[3] = d3; }
MMAD(de_f16,  "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32")
MMAD(de_bf16, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")
MMAD(de_tf32, "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")
MMAD(de_e4m3, "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32")
MMAD(de_e5m2, "mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32")
MMA4F(sp_e5m2, "mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.f32.e5m2.e5m2.f32")
MMA4(sp_s8sat, "mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.satfinite.s32.s8.s8.s32")
// fp16 accumulators: C and D have two registers a lane (the first two of four)
#define MMA4H(NAME, INSTR) \
__global__ void NAME(const uint32_t* a, const uint32_t* b, const uint32_t* c, const uint32_t* e, uint32_t* d) { \
  int i = blockIdx.x * 32 + threadIdx.x; const uint32_t *A = a + 4*i, *B = b + 4*i, *C = c + 4*i; uint32_t E = e[i], d0, d1; \
  asm volatile(INSTR " {%0,%1}, {%2,%3,%4,%5}, {%6,%7,%8,%9}, {%10,%11}, %12, 0x0;\n" \
    : "=r"(d0), "=r"(d1) : "r"(A[0]), "r"(A[1]), "r"(A[2]), "r"(A[3]), "r"(B[0]), "r"(B[1]), "r"(B[2]), "r"(B[3]), "r"(C[0]), "r"(C[1]), "r"(E)); \
  d[4*i] = d0; d[4*i+1] = d1; d[4*i+2] = 0; d[4*i+3] = 0; }
MMA4H(sp_f16h, "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f16.f16.f16.f16")
// wgmma.sp m64n8k32 f16: A from registers, B (8 x 32, K-major, no swizzle: four 8x8 core matrices of 128 bytes) in shared memory; four warps a tile
__device__ inline uint64_t desc(const void* p, uint32_t lbo, uint32_t sbo) {
  uint64_t a = (uint64_t)__cvta_generic_to_shared(p);
  return ((a & 0x3FFFF) >> 4) | ((uint64_t)((lbo & 0x3FFFF) >> 4) << 16) | ((uint64_t)((sbo & 0x3FFFF) >> 4) << 32);
}
#define WG(NAME, INSTR) \
__global__ void NAME(const uint32_t* a, const uint32_t* b, const uint32_t* c, const uint32_t* e, uint32_t* d) { \
  __shared__ __align__(128) uint32_t sb[128]; int t = threadIdx.x, i = blockIdx.x * 128 + t; \
  sb[t] = b[blockIdx.x * 128 + t]; asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory"); __syncthreads(); \
  uint64_t db = desc(sb, 128, 512); const uint32_t* A = a + 4*i; float* C = (float*)c + 4*i; uint32_t E = e[i]; \
  float d0 = C[0], d1 = C[1], d2 = C[2], d3 = C[3]; \
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); \
  asm volatile(INSTR " {%0,%1,%2,%3}, {%4,%5,%6,%7}, %8, %9, 0, 1, 1, 1" TAIL ";\n" : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3) \
    : "r"(A[0]), "r"(A[1]), "r"(A[2]), "r"(A[3]), "l"(db), "r"(E)); \
  asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n" ::: "memory"); \
  float* D = (float*)d + 4*i; D[0] = d0; D[1] = d1; D[2] = d2; D[3] = d3; }
#define TAIL ", 0"
WG(wg_f16,  "wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16")
WG(wg_bf16, "wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.bf16.bf16")
#undef TAIL
#define TAIL ""
WG(wg_e4m3, "wgmma.mma_async.sp.sync.aligned.m64n8k64.f32.e4m3.e4m3")

#define WGD(NAME, INSTR) \
__global__ void NAME(const uint32_t* a, const uint32_t* b, const uint32_t* c, const uint32_t* e, uint32_t* d) { \
  __shared__ __align__(128) uint32_t sb[128]; int t = threadIdx.x, i = blockIdx.x * 128 + t; \
  sb[t] = b[blockIdx.x * 128 + t]; asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory"); __syncthreads(); \
  uint64_t db = desc(sb, 128, 512); const uint32_t* A = a + 4*i; float* C = (float*)c + 4*i; \
  float d0 = C[0], d1 = C[1], d2 = C[2], d3 = C[3]; \
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); \
  asm volatile(INSTR " {%0,%1,%2,%3}, {%4,%5,%6,%7}, %8, 1, 1, 1" TAIL ";\n" : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3) \
    : "r"(A[0]), "r"(A[1]), "r"(A[2]), "r"(A[3]), "l"(db)); \
  asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n" ::: "memory"); \
  float* D = (float*)d + 4*i; D[0] = d0; D[1] = d1; D[2] = d2; D[3] = d3; }
#undef TAIL
#define TAIL ", 0"
WGD(wd_f16,  "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16")
#undef TAIL
#define TAIL ""
WGD(wd_e4m3, "wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3")
WG(wg_e5m2, "wgmma.mma_async.sp.sync.aligned.m64n8k64.f32.e5m2.e5m2")
WG(wg_tf32, "wgmma.mma_async.sp.sync.aligned.m64n8k16.f32.tf32.tf32")
// timing of back-to-back mma.sp by one SM: warps x ILP
template <int ILP> __global__ void lat_sp_f16(uint32_t* out, long long* clk, int iters) {
  float d[ILP][4]; uint32_t a[4] = {0x3c003c00, 0x3c003c00, 0x3c003c00, 0x3c003c00}, b[4] = {1, 2, 3, 4}, e = 0x44444444;
  for (int k = 0; k < ILP; k++) for (int j = 0; j < 4; j++) d[k][j] = threadIdx.x;
  __syncthreads(); long long s = clock64();
  for (int i = 0; i < iters; i++)
    #pragma unroll
    for (int k = 0; k < ILP; k++)
      asm volatile("mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%0,%1,%2,%3}, %12, 0x0;\n"
        : "+f"(d[k][0]), "+f"(d[k][1]), "+f"(d[k][2]), "+f"(d[k][3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(e));
  __syncthreads(); long long t = clock64(); if (threadIdx.x == 0) *clk = t - s;
  float z = 0; for (int k = 0; k < ILP; k++) z += d[k][0] + d[k][1] + d[k][2] + d[k][3]; out[threadIdx.x] = __float_as_uint(z);
}
// wgmma.sp / wgmma dense rate over N, B in shared memory, A in shared memory (SS) or registers (RS): generated by gen_wgmma.py into wgmma_rates.inc
#ifdef RATES
#include "wgmma_rates.inc"
#endif
extern "C" int run(int which, int tiles, const uint32_t* a, const uint32_t* b, const uint32_t* c, const uint32_t* e, uint32_t* d) {
  bool wg = which >= 10 && which < 20; size_t lanes = (size_t)tiles * (wg ? 128 : 32), nb = wg ? (size_t)tiles * 128 : lanes * 4;
  uint32_t *A, *B, *C, *E, *D; CK(cudaMalloc(&A, lanes*16)); CK(cudaMalloc(&B, nb*4)); CK(cudaMalloc(&C, lanes*16)); CK(cudaMalloc(&E, lanes*4)); CK(cudaMalloc(&D, lanes*16));
  CK(cudaMemcpy(A, a, lanes*16, cudaMemcpyHostToDevice)); CK(cudaMemcpy(B, b, nb*4, cudaMemcpyHostToDevice)); CK(cudaMemcpy(C, c, lanes*16, cudaMemcpyHostToDevice)); CK(cudaMemcpy(E, e, lanes*4, cudaMemcpyHostToDevice));
  switch (which) {
    case 0: sp_f16<<<tiles, 32>>>(A, B, C, E, D); break; case 1: sp_bf16<<<tiles, 32>>>(A, B, C, E, D); break;
    case 2: sp_tf32<<<tiles, 32>>>(A, B, C, E, D); break; case 3: sp_e4m3<<<tiles, 32>>>(A, B, C, E, D); break; case 4: sp_s8<<<tiles, 32>>>(A, B, C, E, D); break;
    case 20: de_f16<<<tiles, 32>>>(A, B, C, E, D); break; case 21: de_bf16<<<tiles, 32>>>(A, B, C, E, D); break; case 22: de_tf32<<<tiles, 32>>>(A, B, C, E, D); break;
    case 23: de_e4m3<<<tiles, 32>>>(A, B, C, E, D); break; case 24: de_e5m2<<<tiles, 32>>>(A, B, C, E, D); break;
    case 5: sp_e5m2<<<tiles, 32>>>(A, B, C, E, D); break; case 6: sp_s8sat<<<tiles, 32>>>(A, B, C, E, D); break; case 7: sp_f16h<<<tiles, 32>>>(A, B, C, E, D); break;
    case 13: wg_e5m2<<<tiles, 128>>>(A, B, C, E, D); break; case 14: wg_tf32<<<tiles, 128>>>(A, B, C, E, D); break;
    case 16: wd_f16<<<tiles, 128>>>(A, B, C, E, D); break; case 17: wd_e4m3<<<tiles, 128>>>(A, B, C, E, D); break;
    case 10: wg_f16<<<tiles, 128>>>(A, B, C, E, D); break; case 11: wg_bf16<<<tiles, 128>>>(A, B, C, E, D); break; case 12: wg_e4m3<<<tiles, 128>>>(A, B, C, E, D); break;
    default: return 2; }
  CK(cudaGetLastError()); CK(cudaDeviceSynchronize()); CK(cudaMemcpy(d, D, lanes*16, cudaMemcpyDeviceToHost));
  cudaFree(A); cudaFree(B); cudaFree(C); cudaFree(E); cudaFree(D); return 0;
}
extern "C" double rate(int warps, int ilp, int iters) {
  uint32_t* o; long long *c, h; cudaMalloc(&o, 4096*4); cudaMalloc(&c, 8);
  for (int r = 0; r < 2; r++) switch (ilp) { case 1: lat_sp_f16<1><<<1, warps*32>>>(o, c, iters); break; case 2: lat_sp_f16<2><<<1, warps*32>>>(o, c, iters); break; case 4: lat_sp_f16<4><<<1, warps*32>>>(o, c, iters); break; default: lat_sp_f16<8><<<1, warps*32>>>(o, c, iters); }
  cudaDeviceSynchronize(); cudaMemcpy(&h, c, 8, cudaMemcpyDeviceToHost); cudaFree(o); cudaFree(c); return (double)h / iters;
}
