// The one table of error codes. native/src/base/error.h holds those that the core throws; a test compares both.

export const errorCodes = {
  E_ARGUMENT: 'a value outside its range',
  E_CLOSED: 'a handle was used after close()',
  E_ABORTED: 'stopped on request; what was finished is kept, run the command again to go on',
  E_IO: 'the operating system refused a read or a write',
  E_NO_SPACE: 'the disk is full; free some space and run the command again',
  E_READ_ONLY: 'no permission to write there',
  E_NOT_FOUND: 'there is no such file, object, bucket, dataset, pipeline, trigger or model',
  E_EXISTS: 'would overwrite something',
  E_LOCKED: 'another process has it open for writing',
  E_CORRUPT: 'stored bytes fail their checks',
  E_NOT_FINITE: 'a feature, weight or label is NaN or infinite',
  E_LABEL_RANGE: 'a label lies outside the classes',
  E_SHAPE: 'tensors do not fit the model',
  E_SCRIPT: 'a TorchScript model uses something that it may not use',
  E_PARSER: "a user's own parser failed, or gave something that is not allowed",
  E_DIVERGED: 'the loss became NaN or infinite',
  E_MEMORY: 'not enough memory',
  E_DEVICE: 'there is no such device, or it cannot be used',
  E_TORCH: 'LibTorch reported an error',
  E_INTERNAL: 'a defect of Sluice itself; please report it',
  E_CONFIG: 'the pipeline file has errors',
  E_MODULE: "a user's module could not be loaded or does not export what is needed",
  E_POLICY: 'a policy returned something that is not allowed',
  E_SOURCE: 'a source file could not be read',
  E_ACCESS: 'an object store refused access: permissions, credentials or clock',
  E_UNREACHABLE: 'an object store does not answer',
  E_CHANGED: 'the pipeline or its source changed since the run that it would continue',
  E_ADDON: 'the native addon could not be loaded',
  E_LIBTORCH: 'LibTorch was not found',
  E_USAGE: 'the command line is wrong',
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** Every error that Sluice throws on purpose. `hint` says what to do next. */
export class SluiceError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SluiceError';
    this.code = code;
    this.hint = options.hint;
  }
}
