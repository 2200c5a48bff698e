import { keepHeapSmall } from './platform/lifecycle/heap.ts';

keepHeapSmall(); // before anything else is loaded: by then the heap would have grown
const { serve } = await import('./serve.ts');
await serve();
