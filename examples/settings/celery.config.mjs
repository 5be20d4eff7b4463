// Found by itself: Celery's names, in camelCase or snake_case; times in seconds, or as text.
export default {
  broker_url: 'memory://',
  resultBackend: 'memory://',
  taskRoutes: { 'reports.*': { queue: 'slow' } },
  resultExpires: '2h',
};
