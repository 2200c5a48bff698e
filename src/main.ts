import { keepHeapSmall, letYoungGenerationGrow } from './platform/lifecycle/heap.ts';

keepHeapSmall();
const { serve } = await import('./serve.ts');
await serve();
letYoungGenerationGrow();
