// The types of the whole library for its one-file build, which has none of its own.
declare module 'echarts/dist/echarts.esm.min.mjs' {
  export * from 'echarts';
}
